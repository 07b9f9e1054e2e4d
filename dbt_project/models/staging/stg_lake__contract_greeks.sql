with source as (

    select * from {{ source('lake', 'contract_greeks') }}

),

renamed as (

    select
        -- identity
        underlying,
        symbol,

        -- Greeks, per unit of underlying
        cast(delta as double) as delta,
        cast(gamma as double) as gamma,

        -- dates and instants
        session_date,
        event_at,
    from source

)

select * from renamed
