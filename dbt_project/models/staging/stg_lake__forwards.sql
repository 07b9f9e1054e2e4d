with source as (

    select * from {{ source('lake', 'forwards') }}

),

renamed as (

    select
        -- identity
        underlying,
        root,

        -- slice
        expiry_date,
        expires_at,
        year_fraction,
        spot,
        spot_source,

        -- forward and discount
        forward,
        forward_error,
        discount,
        rate,
        rate_error,
        rate_source,
        curve_date,
        carry,
        dividend_value,

        -- how they were found
        method,
        pairs,
        residual,
        quality,
        is_deamericanised,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
