with source as (

    select * from {{ source('lake', 'level_band') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,
        variant,

        -- convention
        axis,
        in_convention_band,
        in_inferred_band,

        -- levels
        contracts,
        flip_price,
        flip_status,
        net_gamma_exposure_usd_per_pct,
        gross_gamma_exposure_usd_per_pct,
        call_wall,
        put_wall,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
